/** Where the API is mounted: "" at the root of a host, "/monitoring" inside another application. No slash at the end. */
const here = import.meta.url; // of a chunk in <base>/assets/
export const BASE: string = import.meta.env.DEV ? "" : new URL("..", here).pathname.replace(/\/$/, "");
