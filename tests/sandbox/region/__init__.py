"""An AWS region on one machine: moto as the control plane, containers as instances, HAProxy as the
load balancer, network namespaces as the VPC."""
