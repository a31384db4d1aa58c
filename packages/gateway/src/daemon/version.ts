/** This package's version, as a gateway tells it. */
export const GATEWAY_VERSION = "0.1.0";
