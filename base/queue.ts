/**
 * A queue that runs a limited number of tasks at a time. Import this module lazily: a build that
 * finds everything cached needs no queue, and in the bundle a module of Kiln that is imported
 * lazily stands apart from what such a build loads, which a package does not.
 */
export { default as Queue } from 'p-queue';
