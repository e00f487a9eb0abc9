/** Components whose code is fetched when they are first shown, or before. */

import { lazy, useState, type ComponentType, type ReactNode } from "react";

type Module<P> = { default: ComponentType<P> };

/**
 * As React's `lazy`, with `fetch` to begin early. Code that has arrived is shown at once: `lazy` suspends all the same,
 * and React holds back for 300 ms what follows a fallback.
 */
export function deferred<P extends object>(load: () => Promise<Module<P>>): ((props: P) => ReactNode) & { fetch: () => void } {
  let arrived: ComponentType<P> | null = null;
  const arriving = async (): Promise<Module<P>> => {
    const module = await load();
    arrived = module.default;
    return module;
  };
  const Later = lazy(arriving) as unknown as ComponentType<P>;
  function Deferred(props: P): ReactNode {
    const [Shown] = useState<ComponentType<P>>(() => arrived ?? Later); // the same for as long as it is mounted
    return <Shown {...props} />;
  }
  return Object.assign(Deferred, { fetch: () => void arriving().catch(() => undefined) }); // who shows it tells of a failure
}
