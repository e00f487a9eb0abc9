import { useQueryClient } from "@tanstack/react-query";
import { useState, type FormEvent, type ReactNode } from "react";
import { change } from "../lib/client";
import { useMay } from "../lib/session";
import { Button } from "../ui/button";
import { TextField } from "../ui/field";
import { Menu } from "../ui/menu";
import { Failure } from "../ui/notice";
import { useSaved } from "./data";

/** Saved searches, shared by all: run, save, forget. */
export function SavedSearches({ query, onSearch }: { query: string; onSearch: (query: string) => void }): ReactNode {
  return (
    <Menu label={<span className="max-sm:sr-only">Saved</span>} icon="star" title="Saved searches" className="h-9" align="right" width="w-80">
      {(close) => <Saved query={query} onSearch={(found) => (onSearch(found), close())} />}
    </Menu>
  );
}

function Saved({ query, onSearch }: { query: string; onSearch: (query: string) => void }): ReactNode {
  const client = useQueryClient();
  const { data, error: failure } = useSaved();
  const may = useMay("operator");
  const [name, setName] = useState("");
  const [error, setError] = useState<unknown>(null);
  const act = async (run: () => Promise<unknown>) => {
    setError(null);
    try {
      await run();
      setName("");
      await client.invalidateQueries({ queryKey: ["searches"] });
    } catch (problem) {
      setError(problem);
    }
  };
  const save = (event: FormEvent) => {
    event.preventDefault();
    void act(() => change("PUT", `/api/v1/searches/${encodeURIComponent(name.trim())}`, { query }));
  };
  return (
    <div className="p-1">
      {(error ?? failure) !== null && <Failure error={error ?? failure} />}
      {data?.searches.length === 0 && <p className="px-2 py-1.5 text-soft">None yet. A saved search is there for everybody.</p>}
      <ul>
        {data?.searches.map((one) => (
          <li key={one.name} className="flex items-center rounded-md hover:bg-raised">
            <button type="button" className="min-w-0 flex-1 px-2 py-1.5 text-left" onClick={() => onSearch(one.query)}>
              <span className="block truncate font-medium">{one.name}</span>
              <span className="block truncate font-mono text-2xs text-soft">{one.query}</span>
            </button>
            {may && <Button small look="quiet" icon="trash" title={`Forget ${one.name}`} onClick={() => void act(() => change("DELETE", `/api/v1/searches/${encodeURIComponent(one.name)}`))} />}
          </li>
        ))}
      </ul>
      {may && (
        <form onSubmit={save} className="mt-1 flex items-end gap-2 border-t border-line p-2">
          <div className="flex-1">
            <TextField label="Save this search as" value={name} onChange={(event) => setName(event.target.value)} maxLength={64} placeholder="shop errors" />
          </div>
          <Button type="submit" disabled={!name.trim()}>
            Save
          </Button>
        </form>
      )}
    </div>
  );
}
