import type { ReactNode } from "react";
import { Empty } from "../ui/notice";

export default function Runs(): ReactNode {
  return <Empty title="Runs" />;
}
