/**
 * Certificates for servers and users that speak TLS, made anew for each test and signed by an authority of its own.
 */
import { createPrivateKey, sign, X509Certificate } from "node:crypto"
import * as selfsigned from "selfsigned"

/** Texts in PEM. Files of a server and of a user hold a private key and its certificate. */
export interface Certificates {
  readonly authority: string
  readonly server: string
  readonly user: string
}

// What the typings leave out.
interface WithUser extends selfsigned.GenerateResult {
  readonly clientprivate: string
  readonly clientcert: string
}

/** Certificates of a server on 127.0.0.1 and of a user with this common name. The authority is the server's own. */
export const make = (userName: string): Certificates => {
  const made = selfsigned.generate([{ name: "commonName", value: "127.0.0.1" }], {
    keySize: 2048,
    algorithm: "sha256",
    clientCertificate: true,
    clientCertificateKeySize: 2048,
    clientCertificateCN: userName,
    extensions: [
      { name: "basicConstraints", cA: true },
      { name: "keyUsage", keyCertSign: true, digitalSignature: true, keyEncipherment: true },
      { name: "subjectAltName", altNames: [{ type: 7, ip: "127.0.0.1" }] }
    ]
  })
  const { clientcert, clientprivate } = made as WithUser
  return {
    authority: made.cert,
    server: made.private + made.cert,
    user: clientprivate + signedAnew(clientcert, made.private)
  }
}

// sha1WithRSAEncryption and sha256WithRSAEncryption in DER
const weak = Buffer.from("06092a864886f70d010105", "hex")
const strong = Buffer.from("06092a864886f70d01010b", "hex")

// The package signs the certificates of users with SHA-1, which OpenSSL 3 refuses. Names of both hashes are equally long.
const signedAnew = (certificate: string, privateKey: string): string => {
  const der = Buffer.from(new X509Certificate(certificate).raw)
  for (let at = der.indexOf(weak); at >= 0; at = der.indexOf(weak)) strong.copy(der, at)
  // A header has four bytes, the last two of which are the length: of the whole, and of what is signed.
  const signed = der.subarray(4, 8 + der.readUInt16BE(6))
  const signature = sign("sha256", signed, createPrivateKey(privateKey))
  signature.copy(der, der.length - signature.length)
  return `-----BEGIN CERTIFICATE-----\n${der.toString("base64").replace(/.{64}/g, "$&\n")}\n-----END CERTIFICATE-----\n`
}
