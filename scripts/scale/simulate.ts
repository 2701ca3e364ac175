/**
 * # Many builds on many workers, simulated
 *
 * Jobs arrive at workers as they do by JetStream: a job goes to the worker that has its inputs, if
 * that worker is known and has a free slot, and else to any worker that pulls next. The costs of a
 * job are measured on one machine (docs/scale.md says how); how projects differ is assumed. The
 * same seed gives the same numbers.
 */
export interface Fleet {
  readonly workers: number;
  /** Jobs that a worker runs at the same time. */
  readonly slots: number;
  /** What a worker's store holds, in bytes. The project that was used longest ago goes first. */
  readonly storeBytes: number;
  /** How fast a worker gets content, in bytes per second. */
  readonly workerRate: number;
  /** How fast the registry gives content to all workers together, in bytes per second. */
  readonly registryRate: number;
}

export interface Load {
  readonly buildsPerHour: number;
  readonly hours: number;
  /** Projects differ in how often they are built: the nth is built 1/n as often as the first. */
  readonly projects: number;
  /** Sub-graphs of a build that other machines solve. */
  readonly jobsPerBuild: number;
  /** The median of what the steps of a sub-graph take without a cache, in seconds. */
  readonly workSeconds: number;
  /** The share of that work that is cached where the project was built before. */
  readonly cachedShare: number;
  /** The median of what a sub-graph needs of its project: bases, caches, layers. In bytes. */
  readonly contentBytes: number;
  /** What each job moves in any case: changed files and the new layers. In bytes. */
  readonly deltaBytes: number;
}

/** What was measured of one job, in seconds. */
export interface JobCosts {
  /** From the decision until the worker has begun, when it has all inputs. */
  readonly dispatch: number;
  /** From the end of the last step until the coordinator has the result. */
  readonly collect: number;
}

export interface Outcome {
  readonly builds: number;
  readonly medianSeconds: number;
  readonly p95Seconds: number;
  /** How long the jobs waited for a slot, on average. */
  readonly waitSeconds: number;
  /** The share of jobs that came to a worker that had the content of their project. */
  readonly affinity: number;
  readonly gigabytesPerHour: number;
  /** The share of all slots that was busy. */
  readonly busy: number;
}

interface Job {
  readonly build: number;
  readonly project: number;
  readonly arrived: number;
}

interface SimulatedWorker {
  running: number;
  /** The projects whose content it has, the one used longest ago first. */
  readonly content: Map<number, number>;
}

/** Simulates the fleet under the load. `placement` says whether jobs look for their content. */
export function simulate(
  fleet: Fleet,
  load: Load,
  costs: JobCosts,
  placement: 'affinity' | 'random',
  seed = 1,
): Outcome {
  const random = generator(seed);
  const projects = makeProjects(load, random);
  const workers = Array.from(
    { length: fleet.workers },
    (): SimulatedWorker => ({ running: 0, content: new Map() }),
  );
  const events = new EventQueue();
  const waiting: Job[] = [];
  const left: number[] = [];
  const begun: number[] = [];
  const times: number[] = [];
  const sums = { wait: 0, jobs: 0, known: 0, bytes: 0, busy: 0 };
  const end = load.hours * 3600;
  let pulls = 0;

  const begin = (job: Job, worker: SimulatedWorker, now: number) => {
    const project = projects[job.project]!;
    const isKnown = worker.content.has(job.project);
    const bytes = load.deltaBytes + (isKnown ? 0 : project.bytes);
    // All that pull at a time share what the registry can give.
    const rate = Math.min(fleet.workerRate, fleet.registryRate / (pulls + 1));
    const work = project.seconds * (0.5 + random()) * (isKnown ? 1 - load.cachedShare : 1);
    const moved = bytes / rate;
    keepContent(worker, job.project, project.bytes, fleet.storeBytes);
    worker.running++;
    pulls++;
    events.add(now + moved, () => void pulls--);
    const busy = costs.dispatch + moved + work + costs.collect;
    sums.wait += now - job.arrived;
    sums.jobs++;
    sums.known += isKnown ? 1 : 0;
    sums.bytes += bytes;
    sums.busy += busy;
    events.add(now + busy, (then) => {
      worker.running--;
      left[job.build]!--;
      if (left[job.build] === 0) times.push(then - begun[job.build]!);
      takeNext(worker, then);
    });
  };
  const takeNext = (worker: SimulatedWorker, now: number) => {
    if (waiting.length === 0 || worker.running >= fleet.slots) return;
    begin(waiting.shift()!, worker, now);
  };
  const place = (job: Job, now: number) => {
    const free = workers.filter(({ running }) => running < fleet.slots);
    if (free.length === 0) return void waiting.push(job);
    const known =
      placement === 'affinity' ? free.filter(({ content }) => content.has(job.project)) : [];
    const choice = known.length > 0 ? known : free;
    begin(job, choice[Math.floor(random() * choice.length)]!, now);
  };
  const arrive = (now: number) => {
    const build = left.length;
    left.push(load.jobsPerBuild);
    begun.push(now);
    const project = chooseProject(projects, random());
    for (let job = 0; job < load.jobsPerBuild; job++) place({ build, project, arrived: now }, now);
    const next = now - (Math.log(1 - random()) * 3600) / load.buildsPerHour;
    if (next < end) events.add(next, arrive);
  };
  events.add(0, arrive);
  events.run();
  times.sort((a, b) => a - b);
  return {
    builds: times.length,
    medianSeconds: times[Math.floor(times.length / 2)] ?? 0,
    p95Seconds: times[Math.floor(times.length * 0.95)] ?? 0,
    waitSeconds: sums.wait / sums.jobs,
    affinity: sums.known / sums.jobs,
    gigabytesPerHour: sums.bytes / 1e9 / load.hours,
    busy: sums.busy / (fleet.workers * fleet.slots * end),
  };
}

interface Project {
  readonly bytes: number;
  readonly seconds: number;
  /** The sum of the shares of this project and of those before it. */
  readonly upTo: number;
}

function makeProjects(load: Load, random: () => number): readonly Project[] {
  const shares = Array.from({ length: load.projects }, (_, index) => 1 / (index + 1));
  const all = shares.reduce((a, b) => a + b);
  let upTo = 0;
  return shares.map((share) => {
    upTo += share / all;
    return {
      bytes: load.contentBytes * spread(random),
      seconds: load.workSeconds * spread(random),
      upTo,
    };
  });
}

/** Around 1: half of all values are between 0.5 and 2, few are above 6 (a lognormal of σ 1). */
function spread(random: () => number): number {
  const [a, b] = [1 - random(), random()];
  return Math.exp(Math.sqrt(-2 * Math.log(a)) * Math.cos(2 * Math.PI * b));
}

function chooseProject(projects: readonly Project[], at: number): number {
  const found = projects.findIndex(({ upTo }) => at < upTo);
  return found < 0 ? projects.length - 1 : found;
}

function keepContent(
  { content }: SimulatedWorker,
  project: number,
  bytes: number,
  room: number,
): void {
  content.delete(project);
  content.set(project, bytes);
  let used = content.values().reduce((a, b) => a + b, 0);
  for (const [old, size] of content) {
    if (used <= room || old === project) break;
    content.delete(old);
    used -= size;
  }
}

/** Events in the order of their times: a binary heap. */
class EventQueue {
  readonly #heap: { readonly at: number; readonly act: (now: number) => void }[] = [];

  add(at: number, act: (now: number) => void): void {
    const heap = this.#heap;
    let index = heap.push({ at, act }) - 1;
    while (index > 0) {
      const parent = (index - 1) >> 1;
      if (heap[parent]!.at <= heap[index]!.at) break;
      [heap[parent], heap[index]] = [heap[index]!, heap[parent]!];
      index = parent;
    }
  }

  run(): void {
    for (let next = this.#take(); next; next = this.#take()) next.act(next.at);
  }

  #take() {
    const heap = this.#heap;
    const first = heap[0];
    const last = heap.pop();
    if (heap.length === 0 || !last) return first;
    heap[0] = last;
    for (let index = 0; ; ) {
      const left = 2 * index + 1;
      const small = left + 1 < heap.length && heap[left + 1]!.at < heap[left]!.at ? left + 1 : left;
      if (small >= heap.length || heap[index]!.at <= heap[small]!.at) return first;
      [heap[index], heap[small]] = [heap[small]!, heap[index]!];
      index = small;
    }
  }
}

/** Numbers from 0 to 1 that look random and are the same for a seed (mulberry32). */
function generator(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
