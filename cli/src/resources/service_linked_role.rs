//! The roles Auto Scaling, Elastic Load Balancing and Fault Injection Service work as. A fresh account
//! has none; once made they belong to the whole account, so they are never changed nor deleted.

use anyhow::{Context, Result};
use async_trait::async_trait;
use serde_json::json;

use crate::{
    aws::Answer,
    cx::Cx,
    engine::{Found, Resource},
    names::Names,
    policy::Permission,
    tags::Owner,
};

/// A role of a service's own.
pub enum ServiceLinkedRole {
    /// EC2 Auto Scaling: launches and terminates instances.
    AutoScaling,
    /// Elastic Load Balancing: makes network interfaces.
    LoadBalancing,
    /// Fault Injection Service: watches an experiment's targets and stop conditions.
    FaultInjection,
}

impl ServiceLinkedRole {
    fn service(&self) -> &'static str {
        match self {
            Self::AutoScaling => "autoscaling.amazonaws.com",
            Self::LoadBalancing => "elasticloadbalancing.amazonaws.com",
            Self::FaultInjection => "fis.amazonaws.com",
        }
    }

    fn role(&self) -> &'static str {
        match self {
            Self::AutoScaling => "AWSServiceRoleForAutoScaling",
            Self::LoadBalancing => "AWSServiceRoleForElasticLoadBalancing",
            Self::FaultInjection => "AWSServiceRoleForFIS",
        }
    }

    pub(super) fn arn(&self, names: &Names) -> String {
        let (partition, account) = (names.partition(), names.account());
        let (service, role) = (self.service(), self.role());
        format!("arn:{partition}:iam::{account}:role/aws-service-role/{service}/{role}")
    }
}

#[async_trait]
impl Resource for ServiceLinkedRole {
    fn name(&self, _: &Cx) -> String {
        self.role().to_owned()
    }

    fn permissions(&self, names: &Names) -> Vec<Permission> {
        vec![
            Permission::read(&["iam:ListRoles"]),
            Permission::write(&["iam:CreateServiceLinkedRole"])
                .on([self.arn(names)])
                .when(json!({ "StringEquals": { "iam:AWSServiceName": self.service() } })),
        ]
    }

    fn wanted(&self, cx: &Cx) -> bool {
        !matches!(self, Self::FaultInjection) || cx.names.facts().fault_injection
    }

    async fn find(&self, cx: &Cx) -> Result<Vec<Found>> {
        let path = format!("/aws-service-role/{}/", self.service());
        let roles = cx.aws.iam.list_roles().path_prefix(path).into_paginator().items().send();
        let roles = roles.try_collect().await;
        let roles = roles.doing(format!("looking for the service-linked role {}", self.role()))?;
        // Auto Scaling may have further ones, with a suffix. Names are one whatever their case.
        let role = roles.iter().find(|role| role.role_name().eq_ignore_ascii_case(self.role()));
        Ok(role.map(|role| Found::new(role.role_name(), Owner::Borrowed)).into_iter().collect())
    }

    /// Taken by now is AWS's `InvalidInput`: the engine looks again and finds it.
    async fn create(&self, cx: &Cx) -> Result<String> {
        let answer = cx
            .aws
            .iam
            .create_service_linked_role()
            .aws_service_name(self.service())
            .send()
            .await
            .doing(format!("creating the service-linked role of {}", self.service()))?;
        let role = answer.role.context("AWS returned no role")?;
        Ok(role.role_name)
    }

    /// Never called: it is borrowed.
    async fn update(&self, _: &Cx, _: &Found) -> Result<()> {
        Ok(())
    }

    /// Never called: it is borrowed.
    async fn delete(&self, _: &Cx, _: &Found) -> Result<()> {
        Ok(())
    }
}
