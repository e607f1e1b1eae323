"use client";

import { type FormEvent, useEffect, useState } from "react";
import { AvatarUpload } from "./AvatarUpload";
import outputs from "./outputs.json";
import { findUserId, getToken, signIn } from "./session";

export function Account() {
  const [userId, setUserId] = useState<string>();
  const [avatar, setAvatar] = useState<string>();
  const [error, setError] = useState<string>();

  useEffect(() => void findUserId().then(setUserId), []);

  async function submit(event: FormEvent<HTMLFormElement>) {
    event.preventDefault();
    const form = new FormData(event.currentTarget);
    try {
      await signIn(String(form.get("username")), String(form.get("password")));
      setUserId(await findUserId());
    } catch (cause) {
      setError(String(cause));
    }
  }

  if (!userId) {
    return (
      <form onSubmit={submit}>
        <label>Email <input name="username" type="email" autoComplete="username" required /></label>
        <label>Password <input name="password" type="password" autoComplete="current-password" required /></label>
        <button>Sign in</button>
        {error && <p role="alert">{error}</p>}
      </form>
    );
  }
  const current = `${outputs.cdnUrl}/avatars/${userId}.jpg`;
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
