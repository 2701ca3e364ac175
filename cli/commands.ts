import type { Command } from 'commander';

export interface CommandModule {
  /** Runs the command with the words after its name. Returns the exit code. Throws on failure. */
  run(argv: readonly string[]): Promise<number>;
  /**
   * Declares the arguments and flags. The reference, the man page and the completions are generated
   * from them. A group contains its subcommands.
   */
  declareCommand(): Command | Promise<Command>;
}

export interface CommandEntry {
  readonly summary: string;
  /** Imports the module of the command. Only the command that is called is imported. */
  readonly load: () => Promise<CommandModule>;
  /**
   * The subcommands that Kiln implements, for a group that docker has, too. The other subcommands
   * of docker's group are translated to commands of Kiln (docker-commands.ts).
   */
  readonly subcommands?: readonly string[];
}

export const COMMANDS = {
  build: { summary: 'Build an image from a Dockerfile', load: () => import('./commands/build.ts') },
  run: {
    summary: 'Run a command in a new container from an image, to inspect a result',
    load: () => import('./commands/run-image.ts'),
  },
  images: {
    summary: 'List the images in the local store',
    load: () => import('./commands/images.ts'),
  },
  image: {
    summary: 'Look into images, compare and prune them: explore, diff, prune',
    load: () => import('./commands/image.ts'),
    subcommands: ['prune', 'history', 'explore', 'diff'],
  },
  tag: { summary: 'Give an image another name', load: () => import('./commands/tag.ts') },
  rmi: {
    summary: 'Remove images by name, and the data that only they used',
    load: () => import('./commands/rmi.ts'),
  },
  inspect: {
    summary: 'Print the config and descriptors of an image as JSON',
    load: () => import('./commands/inspect.ts'),
  },
  history: {
    summary: 'Show builds: ls, inspect, logs, …; or the history of an image',
    load: () => import('./commands/history.ts'),
  },
  save: { summary: 'Save images to an archive', load: () => import('./commands/save.ts') },
  load: { summary: 'Load images from an archive', load: () => import('./commands/load.ts') },
  pull: { summary: 'Download an image from a registry', load: () => import('./commands/pull.ts') },
  push: { summary: 'Upload an image to a registry', load: () => import('./commands/push.ts') },
  copy: {
    summary: 'Copy an image between registries, archives, layouts and the store',
    load: () => import('./commands/copy.ts'),
  },
  imagetools: {
    summary: 'Inspect images in registries, and combine several into one',
    load: () => import('./commands/imagetools.ts'),
  },
  login: { summary: 'Log in to a registry', load: () => import('./commands/login.ts') },
  logout: {
    summary: 'Log out from a registry',
    load: () => import('./commands/logout.ts'),
  },
  explain: {
    summary: 'Explain why the steps of a build were not cached',
    load: () => import('./commands/explain.ts'),
  },
  du: { summary: 'Show the disk usage of the store', load: () => import('./commands/du.ts') },
  prune: { summary: 'Remove build cache', load: () => import('./commands/prune.ts') },
  cache: {
    summary: 'Manage cache mounts and cache records: ls, inspect, rm, export, import',
    load: () => import('./commands/cache.ts'),
  },
  fsck: { summary: 'Check the whole store for damage', load: () => import('./commands/fsck.ts') },
  ui: {
    summary: 'Show builds in a browser: what ran when, what was cached and why not',
    load: () => import('./commands/ui.ts'),
  },
  logs: { summary: 'Print the full log of a build', load: () => import('./commands/logs.ts') },
  worker: {
    summary: 'Run steps for builds on other machines, which NATS brings here',
    load: () => import('./commands/worker.ts'),
  },
  serve: {
    summary: 'Serve the API of BuildKit, for buildx and other clients',
    load: () => import('./commands/serve.ts'),
  },
  doctor: {
    summary: 'Check what this host supports and what is missing',
    load: () => import('./commands/doctor-host.ts'),
  },
  completion: {
    summary: 'Print the completion script for bash, zsh or fish',
    load: () => import('./commands/completion.ts'),
  },
  debug: { summary: 'Debugging commands: dump-llb', load: () => import('./commands/debug.ts') },
} satisfies Record<string, CommandEntry>;

/**
 * Commands that exist for programs which expect BuildKit's. The launcher calls them when it is
 * called by their name, such as through a link `buildkitd`. Help and reference leave them out.
 */
export const PROGRAMS = {
  buildctl: {
    summary: 'The commands of buildctl, for programs that call it',
    load: () => import('./commands/buildctl.ts'),
  },
  buildkitd: {
    summary: "Serve the API of BuildKit with buildkitd's defaults",
    load: () => import('./commands/buildkitd.ts'),
  },
} satisfies Record<string, CommandEntry>;

/**
 * Groups of docker with subcommands that mean something in Kiln, and have no other name there. The
 * others are translated (docker-commands.ts). Help and reference leave them out.
 */
export const DOCKER_GROUPS = {
  buildx: {
    summary: "Docker's names for commands of Kiln",
    load: () => import('./commands/buildx.ts'),
    subcommands: ['ls', 'inspect'],
  },
  system: {
    summary: "Docker's names for commands of Kiln",
    load: () => import('./commands/system.ts'),
    subcommands: ['df', 'prune'],
  },
} satisfies Record<string, CommandEntry>;

export type CommandName = keyof typeof COMMANDS;
