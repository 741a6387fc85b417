// The package managers besides npm: what the README tells a new user to do, done with each.
import * as Managers from "../../new-user/managers.js"
import { counted, type End } from "./end.js"

export const managers: ReadonlyArray<End> = Managers.others.map(({ name, version }) => ({
  name,
  versions: { [name]: version },
  stages: ["new-user"],
  run: () => counted(name, ["new-user", "--", name])
}))
