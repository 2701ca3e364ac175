import { MAY_IMPORT, type Source } from './sources.ts';

/** An import never points upwards. A test may import what it likes. */
export function wrongImports({ file, folder, imports, role }: Source): string[] {
  if (role === 'test') return [];
  return imports.flatMap((target) => {
    const targetFolder = target.split('/')[0] ?? '';
    if (targetFolder === folder || !Object.hasOwn(MAY_IMPORT, targetFolder)) return [];
    const allowed = (MAY_IMPORT[folder] ?? []).some(
      (name) => target === name || target.startsWith(`${name}/`),
    );
    return allowed ? [] : [`${file}: imports ${target}, which ${folder}/ must not know`];
  });
}
