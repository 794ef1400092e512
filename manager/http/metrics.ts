/** The manager's own figures in Prometheus' text form: event-loop delay, requests, memory. History and alarms live elsewhere. */
import { monitorEventLoopDelay } from 'node:perf_hooks';

interface Series {
  count: number;
  seconds: number;
}

/** The monitor measures a timer's whole interval, also the part that it was meant to wait. */
const loopIntervalMs = 10;

export class Metrics {
  readonly #loop = monitorEventLoopDelay({ resolution: loopIntervalMs });
  readonly #requests = new Map<string, Series>();
  #streams = 0;

  constructor() {
    this.#loop.enable();
  }

  close(): void {
    this.#loop.disable();
  }

  requestEnded(operation: string, status: number, seconds: number): void {
    const key = `operation="${operation}",status="${status}"`;
    const series = this.#requests.get(key) ?? { count: 0, seconds: 0 };
    series.count += 1;
    series.seconds += seconds;
    this.#requests.set(key, series);
  }

  /** An event stream or a console opened (+1) or closed (-1). */
  streams(change: 1 | -1): void {
    this.#streams += change;
  }

  /** Since the last reading, so that a reader sees the worst of its own interval. */
  read(): string {
    const lines = [
      '# TYPE kvasir_event_loop_delay_seconds summary',
      ...[0.5, 0.99].map(
        (q) => `kvasir_event_loop_delay_seconds{quantile="${q}"} ${delaySeconds(this.#loop.percentile(q * 100))}`,
      ),
      '# TYPE kvasir_event_loop_delay_max_seconds gauge',
      `kvasir_event_loop_delay_max_seconds ${delaySeconds(this.#loop.max)}`,
      '# TYPE kvasir_http_requests_total counter',
      ...[...this.#requests].map(([labels, { count }]) => `kvasir_http_requests_total{${labels}} ${count}`),
      '# TYPE kvasir_http_request_seconds_total counter',
      ...[...this.#requests].map(
        ([labels, series]) => `kvasir_http_request_seconds_total{${labels}} ${series.seconds.toFixed(6)}`,
      ),
      '# TYPE kvasir_http_streams gauge',
      `kvasir_http_streams ${this.#streams}`,
      '# TYPE process_resident_memory_bytes gauge',
      `process_resident_memory_bytes ${process.memoryUsage.rss()}`,
    ];
    this.#loop.reset();
    return `${lines.join('\n')}\n`;
  }
}

function delaySeconds(intervalNanoseconds: number): string {
  const delayMs = intervalNanoseconds / 1e6 - loopIntervalMs;
  return Math.max(0, Number.isFinite(delayMs) ? delayMs / 1000 : 0).toFixed(6);
}
