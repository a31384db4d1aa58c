/** Thrown by a command that has said all there is to say, and ends with an exit code of its own: nothing more is told of it. */
export class Outcome extends Error {
  override readonly name = "Outcome";
  readonly exit: number;
  constructor(exit: number) {
    super(`ends with ${exit}`);
    this.exit = exit;
  }
}
