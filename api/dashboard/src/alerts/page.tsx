import type { ReactNode } from "react";
import { Empty } from "../ui/notice";

export default function Alerts(): ReactNode {
  return <Empty title="Alerts" />;
}
