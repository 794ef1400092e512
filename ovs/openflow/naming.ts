/** Says which flow it was that could not be encoded. */
import type { Flow } from '../flow.ts';
import { formatFlow } from '../format-flow.ts';
import { FlowEncodingError } from './errors.ts';

/** @throws FlowEncodingError of `encode`, with the flow */
export function naming<T>(flow: Flow, encode: () => T): T {
  try {
    return encode();
  } catch (error) {
    if (!(error instanceof FlowEncodingError)) throw error;
    throw new FlowEncodingError(`${error.message}, in ${formatFlow(flow)}`);
  }
}
