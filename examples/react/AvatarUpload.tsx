"use client";

import { createElement, useEffect, useRef, useState } from "react";
import type { AvatarUpload as AvatarUploadElement, GetToken, Manifest } from "./avatar-upload";

interface Props {
  scriptUrl: string; // the stack output avatarUploadUrl
  apiUrl: string; // the stack output apiUrl
  src?: string; // the current avatar
  getToken: GetToken;
  onReady?: (manifest: Manifest) => void;
  onRemoved?: () => void;
}

export function AvatarUpload({ scriptUrl, apiUrl, src, getToken, onReady, onRemoved }: Props) {
  const element = useRef<AvatarUploadElement>(null);
  const [isBlocked, setIsBlocked] = useState(false);

  // The browser loads the script, so that neither a bundler nor a server has to.
  useEffect(() => {
    import(/* @vite-ignore */ /* webpackIgnore: true */ /* turbopackIgnore: true */ scriptUrl).catch(() =>
      setIsBlocked(true),
    );
  }, [scriptUrl]);

  // A property, which HTML cannot contain. It may be set before the script has loaded.
  useEffect(() => {
    element.current!.getToken = getToken;
  }, [getToken]);

  useEffect(() => {
    const { current } = element;
    const listener = (event: CustomEvent<Manifest>) => onReady?.(event.detail);
    current!.addEventListener("avatar-ready", listener);
    return () => current!.removeEventListener("avatar-ready", listener);
  }, [onReady]);

  useEffect(() => {
    const { current } = element;
    const listener = () => onRemoved?.();
    current!.addEventListener("avatar-removed", listener);
    return () => current!.removeEventListener("avatar-removed", listener);
  }, [onRemoved]);

  return (
    <>
      {isBlocked && <p role="alert">{`Cannot load ${scriptUrl}. Is this page's origin in allowedOrigins?`}</p>}
      {createElement("avatar-upload", { ref: element, "api-url": apiUrl, src })}
    </>
  );
}
