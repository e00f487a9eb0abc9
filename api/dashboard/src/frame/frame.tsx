/** What stands around every page: navigation, time range, refresh, who is logged in. */

import { useQueryClient } from "@tanstack/react-query";
import { useEffect, useState, type ReactNode } from "react";
import { Link, useLocation, useNavigate } from "react-router";
import { useKeys } from "../lib/keyboard";
import { carried, useAddress } from "../lib/url";
import { Icon, type IconName } from "../ui/icons";
import { useAlerts } from "../alerts/data";
import { Account } from "./account";
import { Help } from "./help";
import { Mark } from "./login";
import { RefreshControl } from "./refresh";
import { TimePicker } from "./timepicker";

const PAGES: readonly { path: string; name: string; icon: IconName; key: string; timed: boolean }[] = [
  { path: "/", name: "Overview", icon: "overview", key: "o", timed: false },
  { path: "/logs", name: "Logs", icon: "logs", key: "l", timed: true },
  { path: "/explore", name: "Metrics", icon: "explore", key: "m", timed: true },
  { path: "/runs", name: "Runs", icon: "runs", key: "r", timed: true },
  { path: "/alerts", name: "Alerts", icon: "alerts", key: "a", timed: false },
  { path: "/pipeline", name: "Pipeline", icon: "pipeline", key: "p", timed: false },
  { path: "/admin", name: "Admin", icon: "admin", key: "d", timed: false },
];

export function Frame({ children }: { children: ReactNode }): ReactNode {
  const { pathname } = useLocation();
  const navigate = useNavigate();
  const [params] = useAddress();
  const [help, setHelp] = useState(false);
  const client = useQueryClient();
  const along = carried(params);
  const here = PAGES.find((page) => (page.path === "/" ? pathname === "/" : pathname.startsWith(page.path)));
  const firing = useAlerts("active").data?.alerts.length ?? 0;
  useEffect(() => {
    document.title = `${firing ? `(${firing}) ` : ""}${here ? `${here.name} · ` : ""}monitoring`;
  }, [firing, here]);
  useKeys("Everywhere", [
    { keys: "?", does: "this help", run: () => setHelp(true) },
    { keys: "R", does: "refresh now", run: () => void client.invalidateQueries() },
    ...PAGES.map((page) => ({ keys: `g ${page.key}`, does: page.name, run: () => void navigate(page.path + along) })),
  ]);
  return (
    <div className="flex h-full flex-col md:flex-row">
      <a href="#page" className="sr-only focus:not-sr-only focus:absolute focus:z-50 focus:bg-panel focus:p-2">
        To the page
      </a>
      <nav aria-label="Pages" className="hidden w-44 shrink-0 flex-col gap-0.5 border-r border-line bg-panel p-2 md:flex max-lg:w-14">
        <Link to={`/${along}`} className="mb-2 flex h-8 items-center gap-2 px-1.5 font-semibold max-lg:justify-center" aria-label="monitoring">
          <Mark />
          <span className="max-lg:hidden">monitoring</span>
        </Link>
        {PAGES.map((page) => (
          <Link
            key={page.path}
            to={page.path + along}
            aria-current={page === here ? "page" : undefined}
            title={page.name}
            className={`relative flex h-8 items-center gap-2.5 rounded-md px-2 font-medium max-lg:justify-center ${page === here ? "bg-accent-soft text-accent" : "text-soft hover:bg-raised hover:text-ink"}`}
          >
            <Icon name={page.icon} />
            <span className="max-lg:sr-only">{page.name}</span>
            {page.path === "/alerts" && <Firing count={firing} className="lg:ml-auto max-lg:absolute max-lg:top-0.5 max-lg:right-0.5" />}
          </Link>
        ))}
      </nav>
      <div className="flex min-h-0 min-w-0 flex-1 flex-col">
        <header className="flex h-12 shrink-0 items-center gap-2 border-b border-line bg-panel px-3 sm:px-4">
          <h1 className={`min-w-0 truncate text-sm font-semibold ${here?.timed ? "max-[380px]:sr-only" : ""}`}>{here?.name ?? "monitoring"}</h1>
          <span className="flex-1" />
          {here?.timed && <TimePicker />}
          <RefreshControl />
          <Account onHelp={() => setHelp(true)} />
        </header>
        <main id="page" className="min-h-0 flex-1">
          {children}
        </main>
      </div>
      <TabBar here={here?.path ?? ""} along={along} firing={firing} />
      {help && <Help onClose={() => setHelp(false)} />}
    </div>
  );
}

function TabBar({ here, along, firing }: { here: string; along: string; firing: number }): ReactNode {
  return (
    <nav aria-label="Pages" className="flex shrink-0 justify-between border-t border-line bg-panel px-1 pb-[env(safe-area-inset-bottom)] md:hidden">
      {PAGES.map((page) => (
        <Link
          key={page.path}
          to={page.path + along}
          aria-current={page.path === here ? "page" : undefined}
          className={`relative flex h-12 min-w-0 flex-1 flex-col items-center justify-center gap-0.5 ${page.path === here ? "text-accent" : "text-soft"}`}
        >
          <Icon name={page.icon} size={18} />
          <span className="max-w-full truncate text-[0.625rem] leading-3 font-medium">{page.name}</span>
          {page.path === "/alerts" && <Firing count={firing} className="absolute top-1 left-1/2 ml-1" />}
        </Link>
      ))}
    </nav>
  );
}

/** How many alerts wait for somebody, on whichever page one is. */
function Firing({ count, className }: { count: number; className: string }): ReactNode {
  if (count === 0) return null;
  return (
    <span title={`${count} active`} className={`min-w-4 rounded-full bg-bad px-1 text-center text-[0.625rem] leading-4 font-bold text-panel tabular-nums ${className}`}>
      {count > 99 ? "99+" : count}
      <span className="sr-only"> active</span>
    </span>
  );
}
