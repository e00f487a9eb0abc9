/** The pages by their addresses. Each is loaded when it is first opened. */

import { Component, Suspense, type ReactNode } from "react";
import { Route, Routes, useLocation } from "react-router";
import { Frame } from "./frame/frame";
import { Login, Starting } from "./frame/login";
import { deferred } from "./lib/deferred";
import { SessionGate } from "./lib/session";
import { Empty, Failure, Waiting } from "./ui/notice";

const Overview = deferred(() => import("./overview/page"));
const Logs = deferred(() => import("./logs/page"));
const Explore = deferred(() => import("./explore/page"));
const Runs = deferred(() => import("./runs/page"));
const Alerts = deferred(() => import("./alerts/page"));
const Pipeline = deferred(() => import("./pipeline/page"));
const Admin = deferred(() => import("./admin/page"));
const PAGES: Record<string, { fetch: () => void }> = { "": Overview, logs: Logs, explore: Explore, runs: Runs, alerts: Alerts, pipeline: Pipeline, admin: Admin };

/** Fetch the code of a page while it is still being asked who is there. `path` is without what the API is mounted under. */
export function preload(path: string): void {
  PAGES[path.split("/")[1] ?? ""]?.fetch();
}

export function App(): ReactNode {
  return (
    <SessionGate login={(again) => <Login onDone={again} />} waiting={(error) => <Starting error={error} />}>
      <Frame>
        <Suspense fallback={<Waiting />}>
          <Pages />
        </Suspense>
      </Frame>
    </SessionGate>
  );
}

function Pages(): ReactNode {
  const { pathname } = useLocation();
  return (
    <Boundary key={pathname}>
      <Routes>
        <Route path="/" element={<Overview />} />
        <Route path="/logs" element={<Logs />} />
        <Route path="/explore" element={<Explore />} />
        <Route path="/runs" element={<Runs />} />
        <Route path="/alerts" element={<Alerts />} />
        <Route path="/alerts/:id" element={<Alerts />} />
        <Route path="/pipeline" element={<Pipeline />} />
        <Route path="/admin" element={<Admin />} />
        <Route path="*" element={<Empty title="There is no such page">The navigation shows those that there are.</Empty>} />
      </Routes>
    </Boundary>
  );
}

/** A page that breaks must not take the navigation with it. */
class Boundary extends Component<{ children: ReactNode }, { error: unknown }> {
  override state = { error: null as unknown };

  static getDerivedStateFromError(error: unknown): { error: unknown } {
    return { error };
  }

  override render(): ReactNode {
    if (this.state.error === null) return this.props.children;
    return (
      <div className="p-4">
        <Failure error={this.state.error} what="This page failed" onRetry={() => location.reload()} />
      </div>
    );
  }
}
