// What importing and opening do to `Reflect`. With `before`, the host has loaded reflect-metadata and used it already.
const added = () => Object.getOwnPropertyNames(Reflect).filter((name) => !standard.includes(name));
const standard = Object.getOwnPropertyNames(Reflect);
class Service {}
if (process.argv[2] === 'before') {
  await import('reflect-metadata');
  Reflect.defineMetadata('host:key', 'kept', Service);
}
const defineMetadata = Reflect.defineMetadata;
const names = added();
const { openPipeline } = await import('@recloom/core');
const { config, options } = await import('./shop.mjs');
const afterImport = added().filter((name) => !names.includes(name));
const pipeline = await openPipeline(config, options());
const answer = await pipeline.recommend({ limit: 1 });
const result = { afterImport, afterOpen: added().length > 0, id: answer.items[0].id };
if (process.argv[2] === 'before') {
  result.kept = Reflect.getMetadata('host:key', Service);
  // Inversify loads the lite build, which puts functions of its own in place; they must work on the same metadata.
  defineMetadata('host:later', 'seen', Service);
  result.later = Reflect.getMetadata('host:later', Service);
} else {
  // A host that loads reflect-metadata after us finds it working as well.
  await import('reflect-metadata');
  Reflect.defineMetadata('host:key', 'kept', Service);
  result.kept = Reflect.getMetadata('host:key', Service);
}
const { Container } = await import('inversify');
const container = new Container();
container.bind(Service).toDynamicValue(() => new Service());
result.container = container.get(Service) instanceof Service && !container.isBound('recloom.logger');
await pipeline.close();
console.log(JSON.stringify(result));
