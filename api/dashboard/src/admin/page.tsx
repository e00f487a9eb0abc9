import type { ReactNode } from "react";
import { Empty } from "../ui/notice";

export default function Admin(): ReactNode {
  return <Empty title="Admin" />;
}
