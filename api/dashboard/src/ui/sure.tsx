import { useEffect, useState, type ReactNode } from "react";
import { Button } from "./button";

const ASKS_SECONDS = 5;

/** A button for what cannot be taken back: the first click asks, the second does it. */
export function SureButton({ children, question, onSure, disabled, small }: { children: string; question: string; onSure: () => void; disabled?: boolean; small?: boolean }): ReactNode {
  const [asking, setAsking] = useState(false);
  useEffect(() => {
    if (!asking) return;
    const timer = setTimeout(() => setAsking(false), ASKS_SECONDS * 1000);
    return () => clearTimeout(timer);
  }, [asking]);
  return (
    <Button look="bad" small={small} icon={small ? undefined : "trash"} disabled={disabled} onClick={() => (asking ? (setAsking(false), onSure()) : setAsking(true))}>
      <span aria-live="polite">{asking ? question : children}</span>
    </Button>
  );
}
