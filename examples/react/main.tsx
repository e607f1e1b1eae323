import { createRoot } from "react-dom/client";
import { Account } from "./Account";

createRoot(document.getElementById("root")!).render(<Account />);
