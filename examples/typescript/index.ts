// The stack of an app that has users already, in a Cognito user pool, and takes the avatars service.

import * as avatars from "@pulumi/avatars";
import * as aws from "@pulumi/aws";

const users = new aws.cognito.UserPool("users", { autoVerifiedAttributes: ["email"], usernameAttributes: ["email"] });
const client = new aws.cognito.UserPoolClient("app", {
  userPoolId: users.id,
  explicitAuthFlows: ["ALLOW_USER_SRP_AUTH", "ALLOW_REFRESH_TOKEN_AUTH"],
});
const alarms = new aws.sns.Topic("alarms");

const service = new avatars.AvatarService("avatars", {
  allowedOrigins: ["https://app.example.com"],
  userPoolId: users.id,
  userPoolClientId: client.id,
  alarmTopicArn: alarms.arn,
  sizes: [64, 256],
});

export const apiUrl = service.apiUrl;
export const avatarUrl = service.avatarUrl;
export const avatarUploadUrl = service.avatarUploadUrl;
