import { FOLDER_NAMES, FOLDERS, type Source } from './sources.ts';

/** Returns the imports that point upwards. Tests may import everything. */
export function wrongImports({ file, folder, imports, role }: Source): string[] {
  if (role === 'test') return [];
  const allowed = allowedFor(folder);
  return imports.flatMap((target) => {
    const targetFolder = target.split('/')[0] ?? '';
    if (targetFolder === folder || !Object.hasOwn(FOLDERS, targetFolder)) return [];
    return allowed.some((name) => target === name || target.startsWith(`${name}/`))
      ? []
      : [`${file}: imports ${target}, but ${folder}/ must not depend on it`];
  });
}

function allowedFor(folder: string): readonly string[] {
  const imports = FOLDERS[folder]?.imports ?? [];
  return imports === 'all below' ? FOLDER_NAMES.slice(FOLDER_NAMES.indexOf(folder) + 1) : imports;
}
