/** The bytes of a picture as a data URI: how a column of references holds what a host hands in. */
export function dataUriOf(bytes: Uint8Array): string {
  return `data:application/octet-stream;base64,${Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64')}`;
}
