/** What stands around every page: navigation, time range, refresh, who is logged in. */

import { useQueryClient } from "@tanstack/react-query";
import { useState, type ReactNode } from "react";
import { Link, useLocation, useNavigate } from "react-router";
import { change } from "../lib/client";
import { useKeys } from "../lib/keyboard";
import { usePreference } from "../lib/preferences";
import { useSession } from "../lib/session";
import { carried, useAddress } from "../lib/url";
import { Button } from "../ui/button";
import { Icon, type IconName } from "../ui/icons";
import { Menu, MenuItem } from "../ui/menu";
import { Help } from "./help";
import { Mark } from "./login";
import { RefreshControl } from "./refresh";
import { TimePicker } from "./timepicker";

const PAGES: readonly { path: string; name: string; icon: IconName; key: string; timed: boolean }[] = [
  { path: "/", name: "Overview", icon: "overview", key: "o", timed: false },
  { path: "/logs", name: "Logs", icon: "logs", key: "l", timed: true },
  { path: "/explore", name: "Explore", icon: "explore", key: "e", timed: true },
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
            className={`flex h-8 items-center gap-2.5 rounded-md px-2 font-medium max-lg:justify-center ${page === here ? "bg-accent-soft text-accent" : "text-soft hover:bg-raised hover:text-ink"}`}
          >
            <Icon name={page.icon} />
            <span className="max-lg:sr-only">{page.name}</span>
          </Link>
        ))}
        <div className="mt-auto">
          <Account />
        </div>
      </nav>
      <div className="flex min-h-0 min-w-0 flex-1 flex-col">
        <header className="flex h-12 shrink-0 items-center gap-2 border-b border-line bg-panel px-3 sm:px-4">
          <h1 className={`min-w-0 truncate text-sm font-semibold ${here?.timed ? "max-[380px]:sr-only" : ""}`}>{here?.name ?? "monitoring"}</h1>
          <span className="flex-1" />
          {here?.timed && <TimePicker />}
          <RefreshControl />
          <span className="max-sm:hidden">
            <Button look="quiet" icon="keyboard" title="Keys and help (?)" onClick={() => setHelp(true)} />
          </span>
          <ThemeSwitch />
        </header>
        <main id="page" className="min-h-0 flex-1">
          {children}
        </main>
      </div>
      <TabBar here={here?.path ?? ""} along={along} />
      {help && <Help onClose={() => setHelp(false)} />}
    </div>
  );
}

function TabBar({ here, along }: { here: string; along: string }): ReactNode {
  return (
    <nav aria-label="Pages" className="flex shrink-0 justify-between border-t border-line bg-panel px-1 pb-[env(safe-area-inset-bottom)] md:hidden">
      {PAGES.map((page) => (
        <Link
          key={page.path}
          to={page.path + along}
          aria-current={page.path === here ? "page" : undefined}
          className={`flex h-12 min-w-0 flex-1 flex-col items-center justify-center gap-0.5 ${page.path === here ? "text-accent" : "text-soft"}`}
        >
          <Icon name={page.icon} size={18} />
          <span className="max-w-full truncate text-[0.625rem] leading-3 font-medium">{page.name}</span>
        </Link>
      ))}
    </nav>
  );
}

const THEMES = [
  ["auto", "As the system"],
  ["light", "Light"],
  ["dark", "Dark"],
] as const;

function ThemeSwitch(): ReactNode {
  const [theme, setTheme] = usePreference("theme");
  return (
    <Menu label="" icon={theme === "light" ? "sun" : "moon"} title="Colours" look="quiet" align="right" width="min-w-40">
      {(close) =>
        THEMES.map(([value, name]) => (
          <MenuItem key={value} on={value === theme} onClick={() => (setTheme(value), close())}>
            {name}
          </MenuItem>
        ))
      }
    </Menu>
  );
}

function Account(): ReactNode {
  const session = useSession();
  const client = useQueryClient();
  const logOut = async () => {
    await change("DELETE", "/api/v1/session").catch(() => undefined); // whatever the answer: this browser forgets it
    client.removeQueries({ predicate: (query) => query.queryKey[0] !== "session" });
    client.setQueryData(["session"], null);
  };
  return (
    <div className="flex items-center justify-between gap-1 border-t border-line pt-2">
      <div className="min-w-0 px-2 max-lg:hidden">
        <p className="truncate font-medium" title={session.name}>
          {session.name}
        </p>
        <p className="text-2xs text-soft">{session.role}</p>
      </div>
      <Button look="quiet" icon="logout" title="Log out" onClick={() => void logOut()} />
    </div>
  );
}
