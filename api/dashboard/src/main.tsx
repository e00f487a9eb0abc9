import { QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { BrowserRouter } from "react-router";
import "./app.css";
import { App, preload } from "./app";
import { BASE } from "./lib/base";
import { ApiError } from "./lib/client";
import { watchInstall } from "./lib/install";
import { watchTheme } from "./lib/preferences";

watchTheme();
watchInstall();
preload(location.pathname.slice(BASE.length));

const client = new QueryClient({
  defaultOptions: {
    queries: {
      staleTime: 2000,
      gcTime: 120_000,
      networkMode: "always", // the server may be this machine: being offline says nothing about it
      refetchOnWindowFocus: true,
      // What the request itself got wrong stays wrong.
      retry: (failures, error) => failures < 1 && !(error instanceof ApiError && error.status >= 400 && error.status < 500),
      retryDelay: 800,
    },
  },
});

createRoot(document.getElementById("root")!).render(
  <StrictMode>
    <QueryClientProvider client={client}>
      <BrowserRouter basename={BASE || "/"}>
        <App />
      </BrowserRouter>
    </QueryClientProvider>
  </StrictMode>,
);
