/** Who is logged in. Nothing of the page is shown, and nothing is asked, before that is known. */

import { useQuery, useQueryClient } from "@tanstack/react-query";
import { createContext, useContext, useEffect, type ReactNode } from "react";
import { change, get, onSessionLost, setCsrf, ApiError } from "./client";
import type { Role, Session } from "./types";

const Current = createContext<Session | null>(null);
const ROLES: readonly Role[] = ["ingest", "viewer", "operator", "admin"];

/** The session; only below SessionGate. */
export function useSession(): Session {
  const session = useContext(Current);
  if (!session) throw new Error("used outside of a session");
  return session;
}

/** Whether the session may do what needs this role. */
export function useMay(role: Role): boolean {
  return ROLES.indexOf(useSession().role) >= ROLES.indexOf(role);
}

/** Log in with an API key. Raises ApiError. */
export async function logIn(key: string): Promise<void> {
  await change("POST", "/api/v1/session", { key });
}

export function SessionGate({ children, login, waiting }: { children: ReactNode; login: (again: () => void) => ReactNode; waiting: (error: unknown) => ReactNode }): ReactNode {
  const client = useQueryClient();
  const { data, error, refetch } = useQuery({
    queryKey: ["session"],
    queryFn: async ({ signal }): Promise<Session | null> => {
      try {
        return await get<Session>("/api/v1/session", {}, signal);
      } catch (problem) {
        if (problem instanceof ApiError && problem.status === 401) return null;
        throw problem;
      }
    },
    staleTime: Infinity,
    retry: false,
    refetchInterval: (query) => (query.state.status === "error" ? 3000 : false),
  });
  useEffect(() => onSessionLost(() => client.setQueryData(["session"], null)), [client]);
  setCsrf(data?.csrf ?? "");
  if (data) return <Current.Provider value={data}>{children}</Current.Provider>;
  if (data === null) return login(() => void refetch());
  return waiting(error);
}
