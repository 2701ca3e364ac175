import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { digestOf } from '../base/digest.ts';
import { MEDIA } from '../base/oci.ts';
import type { ImageStore, StoredImage } from './images.ts';

export interface ImagesUnderTest extends Disposable {
  readonly images: ImageStore;
}

/** What every store of image names must do. */
export function imagesContract(name: string, make: () => ImagesUnderTest): void {
  const test = suite<{ subject: ImagesUnderTest; images: ImageStore }>(name);
  test.before.each((context) => {
    context.subject = make();
    context.images = context.subject.images;
  });
  test.after.each((context) => context.subject[Symbol.dispose]());

  test('a name leads to the image that was put under it last', ({ images }) => {
    const first = image('docker.io/library/app:latest', 'one');
    assert.is(images.get(first.name), undefined);
    images.put(first);
    assert.equal(images.get(first.name), first);
    const second = image(first.name, 'two');
    images.put(second);
    assert.equal(images.get(first.name), second);
    assert.equal(images.list(), [second]);
  });

  test('a name that is put again unchanged keeps its time of creation', ({ images }) => {
    const first = image('docker.io/library/app:latest', 'one');
    images.put(first);
    images.put({ ...first, created: first.created + 1000 });
    assert.equal(images.get(first.name), first);
    const second = { ...image(first.name, 'two'), created: first.created + 2000 };
    images.put(second);
    assert.equal(images.get(first.name), second);
  });

  test('an image that is the last of its origin again is as young as that', ({ images }) => {
    const first = { ...image('sha256:1', 'one'), origin: 'here' };
    const second = { ...image('sha256:2', 'two'), origin: 'here', created: first.created + 1 };
    images.put(first);
    images.put(second);
    images.put({ ...first, created: first.created + 2 });
    images.put({ ...first, created: first.created + 3 });
    assert.equal(images.get('sha256:1'), { ...first, created: first.created + 2 });
    assert.equal(images.get('sha256:2'), second);
  });

  test('many names are put at once, each as if it were alone', ({ images }) => {
    const moved = image('a', 'one');
    const kept = image('b', 'two');
    images.put(moved, kept);
    images.put();
    images.put(
      image('a', 'two'),
      { ...kept, created: kept.created + 1000 },
      image('c', 'one'),
      image('c', 'two'),
    );
    assert.equal(images.list(), [image('a', 'two'), kept, image('c', 'two')]);
  });

  test('the list is sorted by name', ({ images }) => {
    for (const name of ['c', 'a', 'b']) images.put(image(`docker.io/library/${name}:latest`, name));
    assert.equal(
      images.list().map((found) => found.name),
      ['a', 'b', 'c'].map((name) => `docker.io/library/${name}:latest`),
    );
  });

  test('a removed name is gone, and others remain', ({ images }) => {
    images.put(image('a', 'one'));
    images.put(image('b', 'one'));
    assert.is(images.remove('a'), true);
    assert.is(images.remove('a'), false);
    assert.is(images.get('a'), undefined);
    assert.ok(images.get('b'));
  });

  test.run();
}

export function image(name: string, content: string): StoredImage {
  const target = {
    mediaType: MEDIA.ociManifest,
    digest: digestOf(content),
    size: 500,
    platform: { os: 'linux', architecture: 'amd64' },
    annotations: { a: 'b' },
  };
  return { name, target, configs: [digestOf(`${content} config`)], created: 1_700_000_000_123 };
}
