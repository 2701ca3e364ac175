import { digestOf } from '../../base/digest.ts';
import { definitionMessage, toDefinition } from './definition.ts';
import { SOURCE } from './definition-message.ts';
import type { LlbEdge } from './graph.ts';
import { opJson } from './op-json.ts';

/**
 * The graph below `edge` as BuildKit answers `frontend.convertllb`: ops, metadata and places in the
 * Dockerfile, as the JSON of protobuf. For an empty result (undefined) it is empty.
 */
export function convertedDocument(edge: LlbEdge | undefined): unknown {
  const { def, metadata, source } = definitionMessage(toDefinition(edge));
  return {
    def: Object.fromEntries(def.map((bytes) => [digestOf(bytes), opJson(bytes)])),
    metadata: Object.fromEntries(
      Object.entries(metadata).map(
        ([digest, { ignoreCache, description, caps, progressGroup }]) => [
          digest,
          {
            ...(ignoreCache && { ignore_cache: true }),
            ...(Object.keys(description).length > 0 && { description }),
            ...(caps.length > 0 && { caps: Object.fromEntries(caps.map((cap) => [cap, true])) }),
            ...(progressGroup && { progress_group: progressGroup }),
          },
        ],
      ),
    ),
    source: source ? SOURCE.json(source) : {},
  };
}
