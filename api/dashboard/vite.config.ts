import tailwind from "@tailwindcss/vite";
import react from "@vitejs/plugin-react";
import { defineConfig } from "vite";

// Relative addresses: the API is a Blueprint that may be mounted under any prefix. api/dashboard.py writes the
// prefix into index.html; chunks find each other by themselves.
export default defineConfig({
  base: "./",
  plugins: [react(), tailwind()],
  build: {
    outDir: "../static",
    emptyOutDir: true,
    assetsInlineLimit: 0, // a data: address would need a wider policy than 'self'
    modulePreload: { polyfill: false }, // every browser of the target knows it
    target: "es2022",
    chunkSizeWarningLimit: 400,
    rolldownOptions: {
      output: {
        // A page's chunk is called after its folder, not page-….js like all the others.
        chunkFileNames: ({ facadeModuleId, name }) => {
          const page = /src\/(\w+)\/page\.tsx$/.exec(facadeModuleId ?? "");
          return `assets/${page ? page[1] : name}-[hash].js`;
        },
      },
    },
  },
  server: {
    proxy: Object.fromEntries(
      ["/api", "/prometheus", "/healthz", "/readyz", "/login"].map((path) => [
        path,
        process.env.MONITORING_URL ?? "http://127.0.0.1:8321",
      ]),
    ),
  },
});
