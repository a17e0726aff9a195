// What a file of certificates and keys holds, and in which order certificates go. Nothing is believed here: the box reads them anew.

/** A certificate as far as a form shows it (RFC 5280). */
export interface Link {
  /** Base64 of the DER, in one line. */
  text: string;
  /** Subject and issuer, to be compared only. */
  subject: string;
  issuer: string;
  /** Its common name, or another part of the subject. */
  name: string;
  /** When it ends. */
  ends: Date | null;
}

/** What was found in files. */
export interface Found {
  certificates: Link[];
  /** A private key as PEM. */
  key: string | null;
  /** Base64 of PKCS#12, which only a password opens. */
  pkcs12: string | null;
}

interface Part {
  tag: number;
  from: number;
  start: number;
  end: number;
}

const SEQUENCE = 0x30;
const INTEGER = 0x02;
const GENERALIZED_TIME = 0x18;
/** id-at-commonName (RFC 5280 §4.1.2.4), in hexadecimal. */
const COMMON_NAME = "550403";

/** One part of DER (X.690 §8.1), or nothing where there is none. */
function part(der: Uint8Array, from: number): Part | null {
  const [tag, first] = [der[from], der[from + 1]];
  if (tag === undefined || first === undefined) return null;
  const more = first < 0x80 ? 0 : first & 0x7f;
  let length = first;
  if (first >= 0x80) length = [...der.subarray(from + 2, from + 2 + more)].reduce((sum, octet) => sum * 256 + octet, 0);
  const start = from + 2 + more;
  return more > 4 || start + length > der.length ? null : { tag, from, start, end: start + length };
}

function partsOf(der: Uint8Array, within: Part): Part[] {
  const parts: Part[] = [];
  for (let from = within.start; from < within.end; ) {
    const next = part(der, from);
    if (!next || next.end > within.end) return [];
    parts.push(next);
    from = next.end;
  }
  return parts;
}

const hexadecimal = (octets: Uint8Array) => [...octets].map((octet) => octet.toString(16).padStart(2, "0")).join("");
const words = (octets: Uint8Array) => new TextDecoder().decode(octets);

/** The common name of a distinguished name, or its last part. */
function nameOf(der: Uint8Array, name: Part): string {
  const attributes = partsOf(der, name).flatMap((set) => partsOf(der, set)).map((one) => partsOf(der, one));
  const told = attributes.map(([kind, value]) => (kind && value ? [hexadecimal(der.subarray(kind.start, kind.end)), words(der.subarray(value.start, value.end))] : ["", ""]));
  return (told.find(([kind]) => kind === COMMON_NAME) ?? told.at(-1))?.[1] ?? "";
}

/** UTCTime or GeneralizedTime (RFC 5280 §4.1.2.5). */
function timeOf(der: Uint8Array, time: Part): Date | null {
  const text = words(der.subarray(time.start, time.end));
  const short = time.tag !== GENERALIZED_TIME;
  const full = short ? `${Number(text.slice(0, 2)) < 50 ? "20" : "19"}${text}` : text;
  const found = /^(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)Z$/.exec(full);
  return found ? new Date(`${found[1]}-${found[2]}-${found[3]}T${found[4]}:${found[5]}:${found[6]}Z`) : null;
}

/** A certificate, by its base64 or its PEM; nothing where it is none. */
export function link(text: string): Link | null {
  const base64 = text.replace(/-----[A-Z ]+-----/g, "").replace(/\s/g, "");
  try {
    return linkOf(Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0)));
  } catch {
    return null;
  }
}

/** What a form shows of a certificate. */
export function says(one: Link | null): string {
  if (!one) return "no certificate that can be read";
  return one.ends ? `${one.name}, until ${one.ends.toLocaleDateString("en-CA")}` : one.name;
}

function linkOf(der: Uint8Array): Link | null {
  const whole = part(der, 0);
  const [body] = whole?.tag === SEQUENCE ? partsOf(der, whole) : [];
  if (body?.tag !== SEQUENCE) return null;
  const fields = partsOf(der, body);
  // The version is left out of version 1.
  const [issuer, validity, subject] = fields.slice(fields[0]?.tag === INTEGER ? 2 : 3);
  if (!issuer || !validity || !subject) return null;
  const until = partsOf(der, validity)[1];
  const raw = (one: Part) => hexadecimal(der.subarray(one.start, one.end));
  return { text: encoded(der), subject: raw(subject), issuer: raw(issuer), name: nameOf(der, subject), ends: until ? timeOf(der, until) : null };
}

function encoded(octets: Uint8Array): string {
  return btoa(Array.from(octets, (octet) => String.fromCharCode(octet)).join(""));
}

/** What one file, or what was pasted, holds: PEM with any number of parts, a certificate in DER, or PKCS#12. */
export function read(octets: Uint8Array): Found {
  const found: Found = { certificates: [], key: null, pkcs12: null };
  const whole = part(octets, 0);
  if (whole?.tag === SEQUENCE) {
    const certificate = linkOf(octets);
    if (certificate) found.certificates.push(certificate);
    else if (part(octets, whole.start)?.tag === INTEGER) found.pkcs12 = encoded(octets);
    return found;
  }
  for (const [section, label] of words(octets).matchAll(/-----BEGIN ([A-Z0-9 ]+)-----[^-]*-----END \1-----/g)) {
    const certificate = label === "CERTIFICATE" ? link(section) : null;
    if (certificate) found.certificates.push(certificate);
    if (label?.endsWith("PRIVATE KEY")) found.key = `${section}\n`;
  }
  return found;
}

/** The certificate that issued none of the others, then who issued it, and so on; as they were where that is not all of them. */
export function leafFirst(links: Link[]): Link[] {
  const isIssuer = (one: Link) => links.some((other) => other !== one && other.issuer === one.subject);
  const leaves = links.filter((one) => !isIssuer(one));
  const ordered = leaves.length === 1 ? leaves : [];
  for (let last = ordered[0]; last; ) {
    const above = links.find((one) => one.subject === last?.issuer && !ordered.includes(one));
    if (above) ordered.push(above);
    last = above;
  }
  return ordered.length === links.length ? ordered : links;
}

/** Each root, then what leads from it; as they were where that is not all of them. */
export function rootsFirst(links: Link[]): Link[] {
  const ordered: Link[] = [];
  for (const root of links.filter((one) => one.issuer === one.subject)) {
    for (let last: Link | undefined = root; last; ) {
      ordered.push(last);
      const issuer: string = last.subject;
      last = links.find((one) => one.issuer === issuer && !ordered.includes(one));
    }
  }
  return ordered.length === links.length ? ordered : links;
}
