/** What an access key may be allowed to do. Keys issued to customers carry scopes of the team's own instead. */
export const SCOPES = [
  "keys:read",
  "keys:write",
  "keys:rotate",
  "keys:reveal",
  "keys:revoke",
  "keys:verify",
  "settings:read",
  "settings:write",
  "events:read",
] as const;

export type Scope = (typeof SCOPES)[number];

/** True for a scope of Rekey's own API. */
export function isScope(text: string): text is Scope {
  return (SCOPES as readonly string[]).includes(text);
}
