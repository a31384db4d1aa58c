/** Run what opens a gateway's state in this process, and say of its errors what to do. */
export async function withGatewayHints<T>(work: () => Promise<T>): Promise<T> {
  const { GatewayError, GATEWAY_ERRORS } = await import("@quaymesh/gateway");
  try {
    return await work();
  } catch (error) {
    if (error instanceof GatewayError) throw Object.assign(error, { hint: GATEWAY_ERRORS[error.code].hint });
    throw error;
  }
}
