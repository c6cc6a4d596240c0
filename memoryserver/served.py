"""The kinds that a fresh API server serves, as a real one (1.36) lists them in its discovery."""

from __future__ import annotations

from contract.model import Kind

_NAMESPACED = """
v1 Binding bindings, ConfigMap configmaps, Endpoints endpoints, Event events,
   LimitRange limitranges, PersistentVolumeClaim persistentvolumeclaims, Pod pods,
   PodTemplate podtemplates, ReplicationController replicationcontrollers,
   ResourceQuota resourcequotas, Secret secrets, ServiceAccount serviceaccounts, Service services
apps/v1 ControllerRevision controllerrevisions, DaemonSet daemonsets, Deployment deployments,
   ReplicaSet replicasets, StatefulSet statefulsets
authorization.k8s.io/v1 LocalSubjectAccessReview localsubjectaccessreviews
autoscaling/v1 HorizontalPodAutoscaler horizontalpodautoscalers
autoscaling/v2 HorizontalPodAutoscaler horizontalpodautoscalers
batch/v1 CronJob cronjobs, Job jobs
coordination.k8s.io/v1 Lease leases
discovery.k8s.io/v1 EndpointSlice endpointslices
events.k8s.io/v1 Event events
networking.k8s.io/v1 Ingress ingresses, NetworkPolicy networkpolicies
policy/v1 PodDisruptionBudget poddisruptionbudgets
rbac.authorization.k8s.io/v1 RoleBinding rolebindings, Role roles
resource.k8s.io/v1 ResourceClaim resourceclaims, ResourceClaimTemplate resourceclaimtemplates
storage.k8s.io/v1 CSIStorageCapacity csistoragecapacities
"""
_CLUSTER = """
v1 ComponentStatus componentstatuses, Namespace namespaces, Node nodes,
   PersistentVolume persistentvolumes
admissionregistration.k8s.io/v1 MutatingAdmissionPolicy mutatingadmissionpolicies,
   MutatingAdmissionPolicyBinding mutatingadmissionpolicybindings,
   MutatingWebhookConfiguration mutatingwebhookconfigurations,
   ValidatingAdmissionPolicy validatingadmissionpolicies,
   ValidatingAdmissionPolicyBinding validatingadmissionpolicybindings,
   ValidatingWebhookConfiguration validatingwebhookconfigurations
apiextensions.k8s.io/v1 CustomResourceDefinition customresourcedefinitions
apiregistration.k8s.io/v1 APIService apiservices
authentication.k8s.io/v1 SelfSubjectReview selfsubjectreviews, TokenReview tokenreviews
authorization.k8s.io/v1 SelfSubjectAccessReview selfsubjectaccessreviews,
   SelfSubjectRulesReview selfsubjectrulesreviews, SubjectAccessReview subjectaccessreviews
certificates.k8s.io/v1 CertificateSigningRequest certificatesigningrequests
flowcontrol.apiserver.k8s.io/v1 FlowSchema flowschemas,
   PriorityLevelConfiguration prioritylevelconfigurations
networking.k8s.io/v1 IngressClass ingressclasses, IPAddress ipaddresses, ServiceCIDR servicecidrs
node.k8s.io/v1 RuntimeClass runtimeclasses
rbac.authorization.k8s.io/v1 ClusterRoleBinding clusterrolebindings, ClusterRole clusterroles
resource.k8s.io/v1 DeviceClass deviceclasses, ResourceSlice resourceslices
scheduling.k8s.io/v1 PriorityClass priorityclasses
storage.k8s.io/v1 CSIDriver csidrivers, CSINode csinodes, StorageClass storageclasses,
   VolumeAttachment volumeattachments, VolumeAttributesClass volumeattributesclasses
"""


def _kinds(table: str, *, namespaced: bool) -> frozenset[Kind]:
    found = set()
    for line in table.replace("\n   ", " ").strip().splitlines():
        api_version, _, kinds = line.partition(" ")
        group, _, version = api_version.rpartition("/")
        for each in kinds.split(","):
            kind, plural = each.split()
            found.add(Kind(group, version, kind, plural, namespaced))
    return frozenset(found)


BUILT_IN = _kinds(_NAMESPACED, namespaced=True) | _kinds(_CLUSTER, namespaced=False)
