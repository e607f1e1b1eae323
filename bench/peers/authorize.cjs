// The work of authorize with AWS's own library; its keys come from KEYS_URL instead of Cognito's host.

const { CognitoJwtVerifier } = require("aws-jwt-verify");
const { SimpleFetcher } = require("aws-jwt-verify/https");
const { SimpleJwksCache } = require("aws-jwt-verify/jwk");

const { USER_POOL_ID, CLIENT_ID, KEYS_URL } = process.env;
const https = new SimpleFetcher();
const verifier = CognitoJwtVerifier.create(
  { userPoolId: USER_POOL_ID, clientId: CLIENT_ID, tokenUse: "access" },
  { jwksCache: new SimpleJwksCache({ fetcher: { fetch: () => https.fetch(KEYS_URL) } }) },
);

exports.handle = async (event) => {
  const { sub } = await verifier.verify(event.identitySource[0].split(" ")[1]);
  return { isAuthorized: true, context: { sub } };
};
