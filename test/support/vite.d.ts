/** The one feature of Vite that tests use. */
interface ImportMeta {
  glob<Module>(
    pattern: string,
    options: { query?: string; import?: string; eager: true },
  ): Record<string, Module>;
}

declare module "*.md?raw" {
  const text: string;
  export default text;
}

declare module "*.ts?raw" {
  const text: string;
  export default text;
}
