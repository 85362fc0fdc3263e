{{/* Name of everything in the release. */}}
{{- define "coredns.fullname" -}}
{{- if contains "coredns" .Release.Name }}{{ .Release.Name | trunc 63 | trimSuffix "-" }}{{ else }}{{ printf "%s-coredns" .Release.Name | trunc 63 | trimSuffix "-" }}{{ end -}}
{{- end }}

{{- define "coredns.deployment" -}}
{{ default (include "coredns.fullname" .) .Values.deployment.name }}
{{- end }}

{{- define "coredns.k8sapp" -}}
{{- if .Values.k8sAppLabelOverride }}{{ .Values.k8sAppLabelOverride }}{{ else if .Values.isClusterService }}kube-dns{{ else }}{{ include "coredns.fullname" . }}{{ end -}}
{{- end }}

{{- define "coredns.serviceAccount" -}}
{{- if .Values.serviceAccount.create }}{{ default (include "coredns.fullname" .) .Values.serviceAccount.name }}{{ else }}{{ default "default" .Values.serviceAccount.name }}{{ end -}}
{{- end }}

{{/* What selects the pods: immutable in a Deployment. */}}
{{- define "coredns.selector" -}}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
app.kubernetes.io/name: coredns
k8s-app: {{ include "coredns.k8sapp" . }}
{{- end }}

{{- define "coredns.labels" -}}
{{ include "coredns.selector" . }}
app.kubernetes.io/managed-by: {{ .Release.Service | quote }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | quote }}
{{- if .Values.isClusterService }}
kubernetes.io/cluster-service: "true"
kubernetes.io/name: CoreDNS
{{- end }}
{{- with .Values.customLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* How a server's zones are asked: over UDP, TCP or both. The ports of Service and container follow from it. */}}
{{- define "coredns.ports" -}}
{{- $seen := dict }}
{{- range .Values.servers }}
{{- $target := int (default 53 .port) }}
{{- $udp := false }}{{ $tcp := false }}
{{- range .zones }}
{{- if hasPrefix "tls" (default "" .scheme) }}{{ $tcp = true }}{{ else if hasPrefix "https" (default "" .scheme) }}{{ $tcp = true }}{{ else if hasPrefix "quic" (default "" .scheme) }}{{ $udp = true }}{{ else }}{{ $udp = true }}{{ if .use_tcp }}{{ $tcp = true }}{{ end }}{{ end }}
{{- end }}
{{- if not .zones }}{{ $udp = true }}{{ end }}
{{- $common := dict "port" (int (default $target .servicePort)) "target" $target "nodePort" (int (default 0 .nodePort)) "hostPort" (int (default 0 .hostPort)) }}
{{- if $udp }}{{ $_ := set $seen (printf "udp-%d" $target) (merge (dict "protocol" "UDP") $common) }}{{ end }}
{{- if $tcp }}{{ $_ := set $seen (printf "tcp-%d" $target) (merge (dict "protocol" "TCP") $common) }}{{ end }}
{{- end }}
{{- toYaml $seen }}
{{- end }}
