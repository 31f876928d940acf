/** One field of a protobuf message. */
export interface ProtobufField {
  readonly field: number;
  /** The payload of a length-delimited field; undefined for numbers. */
  readonly bytes: Uint8Array | undefined;
  /** The value of a varint field; undefined for others. */
  readonly value: number | undefined;
  /** Tag, length and payload, as they stand in the message. */
  readonly raw: Uint8Array;
}

/**
 * The fields of one message, in order, as views of its bytes (https://protobuf.dev/programming-guides/encoding).
 *
 * @throws RangeError when the bytes are no message
 */
export function* readFields(bytes: Uint8Array): Generator<ProtobufField, void, undefined> {
  let place = 0;
  const readVarint = (): number => {
    let value = 0;
    for (let shift = 0; shift < 70; shift += 7) {
      const byte = bytes[place++];
      if (byte === undefined) throw new RangeError('it is cut off');
      // Multiplication, not a shift: lengths and 64-bit values pass 32 bits.
      value += (byte & 0x7f) * 2 ** shift;
      if (byte < 0x80) return value;
    }
    throw new RangeError('it is not a protobuf message');
  };
  while (place < bytes.length) {
    const start = place;
    const tag = readVarint();
    // Other readers drop what is beyond 32 bits, and would see another field than this one.
    if (tag > 0xffff_ffff) throw new RangeError('it is not a protobuf message');
    const field = Math.floor(tag / 8);
    const wire = tag % 8;
    let value: number | undefined;
    let payload: Uint8Array | undefined;
    if (wire === 0) value = readVarint();
    else if (wire === 1) place += 8;
    else if (wire === 5) place += 4;
    else if (wire === 2) {
      const length = readVarint();
      payload = bytes.subarray(place, place + length);
      place += length;
    } else throw new RangeError('it is not a protobuf message');
    if (place > bytes.length) throw new RangeError('it is cut off');
    yield { field, value, bytes: payload, raw: bytes.subarray(start, place) };
  }
}

/** A string field's text. */
export function readText(bytes: Uint8Array | undefined): string {
  return new TextDecoder().decode(bytes);
}

/** Messages or fields one after the other, in new bytes. */
export function joinBytes(parts: readonly Uint8Array[]): Uint8Array {
  const out = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let place = 0;
  for (const part of parts) {
    out.set(part, place);
    place += part.length;
  }
  return out;
}

/** A varint field; `value` is a whole number, negative ones in two's complement of 64 bits. */
export function writeNumber(field: number, value: number): Uint8Array {
  return Uint8Array.from([...varint(BigInt(field * 8)), ...varint(BigInt.asUintN(64, BigInt(value)))]);
}

/** A length-delimited field. */
export function writeBytes(field: number, value: Uint8Array): Uint8Array {
  return joinBytes([Uint8Array.from([...varint(BigInt(field * 8 + 2)), ...varint(BigInt(value.length))]), value]);
}

/** A string field. */
export function writeText(field: number, value: string): Uint8Array {
  return writeBytes(field, new TextEncoder().encode(value));
}

/** A field that is a message. */
export function writeMessage(field: number, fields: readonly Uint8Array[]): Uint8Array {
  return writeBytes(field, joinBytes(fields));
}

function varint(value: bigint): number[] {
  const out: number[] = [];
  let rest = value;
  for (; rest >= 128n; rest >>= 7n) out.push(Number(rest & 127n) + 128);
  out.push(Number(rest));
  return out;
}
