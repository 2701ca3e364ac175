import { FOLDER_NAMES, FOLDERS, type Source } from './sources.ts';

/** An import never points upwards. A test may import what it likes. */
export function wrongImports({ file, folder, imports, role }: Source): string[] {
  if (role === 'test') return [];
  const allowed = allowedFor(folder);
  return imports.flatMap((target) => {
    const targetFolder = target.split('/')[0] ?? '';
    if (targetFolder === folder || !Object.hasOwn(FOLDERS, targetFolder)) return [];
    return allowed.some((name) => target === name || target.startsWith(`${name}/`))
      ? []
      : [`${file}: imports ${target}, which ${folder}/ must not know`];
  });
}

function allowedFor(folder: string): readonly string[] {
  const imports = FOLDERS[folder]?.imports ?? [];
  return imports === 'all below' ? FOLDER_NAMES.slice(FOLDER_NAMES.indexOf(folder) + 1) : imports;
}
