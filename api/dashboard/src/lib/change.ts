import { useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { change } from "./client";

type Method = "POST" | "PUT" | "DELETE";

/** A change, with whether it is under way and what went wrong; what is kept under `key` is asked for anew after it. */
export function useChange(key: string): { busy: boolean; error: unknown; run: <T = unknown>(method: Method, path: string, body?: unknown) => Promise<T | undefined> } {
  const client = useQueryClient();
  const [state, setState] = useState<{ busy: boolean; error: unknown }>({ busy: false, error: null });
  const run = async <T>(method: Method, path: string, body?: unknown): Promise<T | undefined> => {
    setState({ busy: true, error: null });
    try {
      const answer = await change<T>(method, path, body);
      setState({ busy: false, error: null });
      await client.invalidateQueries({ queryKey: [key] });
      return answer;
    } catch (error) {
      setState({ busy: false, error });
      return undefined;
    }
  };
  return { ...state, run };
}
