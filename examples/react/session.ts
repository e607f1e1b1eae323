import { Amplify } from "aws-amplify";
import { fetchAuthSession, signIn as signInWithAmplify } from "aws-amplify/auth";
import outputs from "./outputs.json";

const { userPoolId, userPoolClientId } = outputs;
// Only a local run has this output.
const userPoolEndpoint = "cognitoEndpoint" in outputs ? String(outputs.cognitoEndpoint) : undefined;
Amplify.configure({ Auth: { Cognito: { userPoolId, userPoolClientId, userPoolEndpoint } } });

export async function signIn(username: string, password: string) {
  await signInWithAmplify({ username, password, options: { authFlowType: "USER_PASSWORD_AUTH" } });
}

/** Returns undefined if nobody is signed in. */
export async function findUserId() {
  return (await fetchAuthSession()).userSub;
}

export async function getToken({ refresh }: { refresh: boolean }) {
  const { tokens } = await fetchAuthSession({ forceRefresh: refresh });
  return tokens?.accessToken.toString() ?? "";
}
