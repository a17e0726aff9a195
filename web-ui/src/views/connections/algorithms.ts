// Words of the document for algorithms, the better ones first. Which go together is said by the box.
import type { components } from "../../api/openapi.gen.ts";

type Schemas = components["schemas"];
type Ike = Schemas["DocumentIke"];
type Ipsec = Schemas["DocumentIpsec"];

/** All of them, by the types that are made from what the daemon says of itself. */
export const IKE_CIPHERS = ["GCMAES256", "GCMAES192", "GCMAES128", "CHACHA20POLY1305", "AES256", "AES192", "AES128", "DES3", "DES"] as const satisfies Ike["encryption"][];
export const IPSEC_CIPHERS = [...IKE_CIPHERS, "None"] as const satisfies Ipsec["encryption"][];
export const HASHES = ["SHA512", "SHA384", "SHA256", "SHA1", "MD5"] as const satisfies Ike["integrity"][];
export const GROUPS = [
  "X25519", "ECP521", "ECP384", "ECP256", "DHGroup24", "DHGroup16", "DHGroup15", "DHGroup14", "DHGroup2048", "DHGroup5", "DHGroup2", "DHGroup1",
] as const satisfies Ike["dh_group"][];
export const PFS_GROUPS = [
  "None", "X25519", "ECP521", "ECP384", "ECP256", "PFS24", "PFS16", "PFS15", "PFS14", "PFS2048", "PFS5", "PFS2", "PFS1", "PFSMM",
] as const satisfies Ipsec["pfs_group"][];
export const FOLLOWING = [
  "MLKEM1024", "MLKEM768", "MLKEM512", "X25519", "ECP521", "ECP384", "ECP256", "DHGroup16", "DHGroup15", "DHGroup14",
] as const satisfies Ike["additional_key_exchanges"];
export const RSA_HASHES = ["SHA1", "SHA256", "SHA384", "SHA512"] as const satisfies Schemas["DocumentSignatures"]["rsa_hashes"];

/** What a policy of one's own begins with: what current devices of all makers take. */
export const BEGUN = {
  ike: { encryption: "AES256", integrity: "SHA256", dh_group: "DHGroup14" },
  ipsec: { encryption: "GCMAES256", integrity: "GCMAES256", pfs_group: "PFS14" },
};
