import { useQueryClient } from "@tanstack/react-query";
import type { ReactNode } from "react";
import { change } from "../lib/client";
import { useInstall } from "../lib/install";
import { usePreference } from "../lib/preferences";
import { useSession } from "../lib/session";
import { Icon } from "../ui/icons";
import { Menu, MenuItem } from "../ui/menu";

const THEMES = [
  ["auto", "As the system"],
  ["light", "Light"],
  ["dark", "Dark"],
] as const;

/** Who is logged in, and what belongs to this browser: colours, keys, the app, logging out. */
export function Account({ onHelp }: { onHelp: () => void }): ReactNode {
  const session = useSession();
  const client = useQueryClient();
  const install = useInstall();
  const [theme, setTheme] = usePreference("theme");
  const logOut = async () => {
    await change("DELETE", "/api/v1/session").catch(() => undefined); // whatever the answer: this browser forgets it
    client.removeQueries({ predicate: (query) => query.queryKey[0] !== "session" });
    client.setQueryData(["session"], null);
  };
  return (
    <Menu label="" icon="user" title="You and this browser" look="quiet" align="right" width="min-w-52">
      {(close) => (
        <>
          <div className="border-b border-line px-2 pt-1 pb-2">
            <p className="truncate font-medium">{session.name}</p>
            <p className="text-2xs text-soft">role {session.role}</p>
          </div>
          <div role="group" aria-label="Colours" className="border-b border-line py-1">
            <p className="px-2 py-0.5 text-2xs font-semibold text-soft">Colours</p>
            {THEMES.map(([value, name]) => (
              <MenuItem key={value} on={value === theme} onClick={() => (setTheme(value), close())}>
                <span className="flex-1">{name}</span>
                {value === theme && <Icon name="check" size={14} />}
              </MenuItem>
            ))}
          </div>
          <div className="pt-1">
            <MenuItem onClick={() => (close(), onHelp())}>
              <Icon name="keyboard" size={14} /> Keys and help
              <kbd className="ml-auto rounded border border-line px-1 font-mono text-2xs text-soft max-sm:hidden">?</kbd>
            </MenuItem>
            {install && (
              <MenuItem onClick={() => (close(), install())}>
                <Icon name="export" size={14} /> Install as an app
              </MenuItem>
            )}
            <MenuItem onClick={() => void logOut()}>
              <Icon name="logout" size={14} /> Log out
            </MenuItem>
          </div>
        </>
      )}
    </Menu>
  );
}
