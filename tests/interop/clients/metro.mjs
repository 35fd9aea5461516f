// Loads the sources of @meteorrn/core as they are. They are written for React Native's bundler:
// ES modules that say so nowhere, importing each other with or without ".js".

export async function resolve(specifier, context, next) {
  try {
    return await next(specifier, context);
  } catch (error) {
    if (!specifier.startsWith(".") || !context.parentURL?.includes("/@meteorrn/core/")) throw error;
    return next(`${specifier}.js`, context);
  }
}

export function load(url, context, next) {
  return next(url, url.includes("/@meteorrn/core/") ? { ...context, format: "module" } : context);
}
