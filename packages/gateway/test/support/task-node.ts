import { encodeValue, type PublishedEvent, type TaskResultData } from "@quaymesh/protocol";
import type { FakeNode, FakePublisher, TaskStream } from "./fake-node.ts";

/** A hand-driven node that reports on attempts. */
export class TaskNode {
  readonly node: FakeNode;
  readonly publisher: FakePublisher;
  #seq: number;

  private constructor(node: FakeNode, publisher: FakePublisher) {
    this.node = node;
    this.publisher = publisher;
    this.#seq = publisher.ackedSeq;
  }

  static async over(node: FakeNode): Promise<TaskNode> {
    return new TaskNode(node, await node.publish());
  }

  /** Publish task events and wait for their acknowledgement. */
  async report(...events: { readonly kind: string; readonly data: object }[]): Promise<void> {
    const published = events.map(({ kind, data }): PublishedEvent => ({
      kind,
      time: Date.now(),
      data: encodeValue({ ...data }),
    }));
    await this.publisher.publish(this.#seq + 1, published);
    this.#seq += events.length;
  }

  /** Take the next attempt and accept it. */
  async accept(): Promise<TaskStream> {
    const task = await this.node.nextTask();
    await task.stream.send({ type: "accepted" });
    return task;
  }

  /** Report the result of an attempt. */
  async result(attempt: { readonly taskId: string; readonly token: number }, change: Partial<TaskResultData> = {}) {
    const { taskId, token } = attempt;
    const data = { taskId, token, outcome: "succeeded", outputChunks: 0, outputBytes: 0, ...change };
    await this.report({ kind: "task.result", data });
  }

  /** Report output and success, and end the attempt's stream. */
  async succeed({ run, stream }: TaskStream, output: Uint8Array): Promise<void> {
    const ref = { taskId: run.taskId, token: run.token };
    await this.report(
      { kind: "task.output", data: { ...ref, index: 0, bytes: output } },
      {
        kind: "task.result",
        data: { ...ref, outcome: "succeeded", outputChunks: 1, outputBytes: output.length },
      },
    );
    await stream.end({ type: "finished", seq: this.#seq });
  }
}
