/** Opens its port as it should, and then reports what no sound process does: one that was taken over. The port it is given says which lie. */
import { Socket } from "node:net";

const pipe = new Socket({ fd: 3, readable: true, writable: true });
pipe.once("data", (orders: Buffer) => {
  const { addresses } = JSON.parse(orders.toString()) as { readonly addresses: readonly { readonly port: number }[] };
  pipe.write('{"kind":"listening","addresses":[{"host":"127.0.0.1","port":9,"at":0}]}\n');
  pipe.write(LIES[(addresses[0]?.port ?? 0) - 1] ?? "");
});

const peer = (id: number) =>
  `{"kind":"peer","id":${id},"host":"127.0.0.1","port":1,"spki":"${"ab".repeat(32)}","frame":"AAAA"}\n`;

const LIES = [
  "not json\n",
  '{"kind":"peer","id":1}\n',
  `{"kind":"beat","padding":"${"x".repeat(20_000)}"}\n`,
  Array.from({ length: 9 }, (_, at) => peer(at + 1)).join(""),
  '{"kind":"frame","id":7,"frame":"AAAA"}\n',
  `${peer(1)}${'{"kind":"frame","id":1,"frame":"AAAA"}\n'.repeat(600)}`,
  `${peer(1)}${peer(1)}`,
];
