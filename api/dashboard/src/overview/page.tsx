import type { ReactNode } from "react";
import { Empty } from "../ui/notice";

export default function Overview(): ReactNode {
  return <Empty title="Overview" />;
}
