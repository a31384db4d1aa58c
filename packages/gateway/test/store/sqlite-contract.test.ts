import { storeContract } from "../../../../test/contract/store.ts";
import { temporaryStore } from "./temporary-store.ts";

storeContract("SQLite", () => temporaryStore());
