"use client";

import { useEffect, useState } from "react";
import { AvatarUpload } from "./AvatarUpload";
import { getToken, SignIn } from "./cognito"; // or "./openid", for the users of another issuer
import outputs from "./outputs.json";

/** Returns the URL of the user's avatar, also before the first upload, or undefined if nobody is signed in. */
async function findAvatar() {
  const token = await getToken({ refresh: false });
  if (!token) return undefined;
  const headers = { Authorization: `Bearer ${token}` };
  const response = await fetch(`${outputs.apiUrl}/avatars/me`, { headers });
  return ((await response.json()) as { url: string }).url;
}

export function Account() {
  const [current, setCurrent] = useState<string>();
  const [avatar, setAvatar] = useState<string>();
  const [error, setError] = useState<string>();

  function show() {
    findAvatar().then(setCurrent, (cause) => setError(String(cause)));
  }

  useEffect(show, []);

  if (!current) {
    return (
      <>
        <SignIn onSignedIn={show} />
        {error && <p role="alert">{error}</p>}
      </>
    );
  }
  return (
    <>
      <header>
        <img src={avatar ?? current} alt="Your avatar" width="48" height="48" /> Account
      </header>
      <AvatarUpload
        scriptUrl={outputs.avatarUploadUrl}
        apiUrl={outputs.apiUrl}
        src={current}
        getToken={getToken}
        onReady={(manifest) => setAvatar(manifest.images.at(-1)?.url)}
        onRemoved={() => setAvatar(`${outputs.cdnUrl}/defaults/avatar.jpg`)}
      />
    </>
  );
}
