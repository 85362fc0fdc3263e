{{/* Names, labels and ports are those of coredns/helm: a release of that chart is upgraded in place, and rolled back. */}}

{{- define "coredns.name" -}}
{{ default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{/* What everything in the release is called. */}}
{{- define "coredns.fullname" -}}
{{- $name := default .Chart.Name .Values.nameOverride }}
{{- $joined := ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name) }}
{{- default $joined .Values.fullnameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- define "coredns.deployment" -}}
{{ default (include "coredns.fullname" .) .Values.deployment.name }}
{{- end }}

{{- define "coredns.k8sapplabel" -}}
{{ default .Chart.Name .Values.k8sAppLabelOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- define "coredns.serviceAccountName" -}}
{{ default (ternary (include "coredns.fullname" .) "default" .Values.serviceAccount.create) .Values.serviceAccount.name }}
{{- end }}

{{- define "coredns.clusterRoleName" -}}
{{ default (include "coredns.fullname" .) (.Values.clusterRole).nameOverride }}
{{- end }}

{{/* What selects the pods: immutable in a Deployment. */}}
{{- define "coredns.selector" -}}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
app.kubernetes.io/name: {{ include "coredns.name" . | quote }}
{{- if .Values.isClusterService }}
k8s-app: {{ include "coredns.k8sapplabel" . | quote }}
{{- end }}
{{- end }}

{{/* What selects the autoscaler's pod. */}}
{{- define "coredns.selector.autoscaler" -}}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
app.kubernetes.io/name: {{ include "coredns.name" . | printf "%s-autoscaler" | quote }}
{{- if .Values.isClusterService }}
k8s-app: {{ include "coredns.k8sapplabel" . | printf "%s-autoscaler" | quote }}
{{- end }}
{{- end }}

{{/* The labels of an object: (list . SELECTOR MORE…), where later ones count. */}}
{{- define "coredns.labelled" -}}
{{- $root := first . }}
{{- $labels := include (index . 1) $root | fromYaml }}
{{- $_ := set $labels "app.kubernetes.io/managed-by" $root.Release.Service }}
{{- $_ := set $labels "app.kubernetes.io/version" $root.Chart.AppVersion }}
{{- $_ := set $labels "helm.sh/chart" (printf "%s-%s" $root.Chart.Name $root.Chart.Version | replace "+" "_") }}
{{- if $root.Values.isClusterService }}
{{- $_ := set $labels "kubernetes.io/cluster-service" "true" }}
{{- $_ := set $labels "kubernetes.io/name" "CoreDNS" }}
{{- end }}
{{- range slice . 2 }}{{ $labels = mergeOverwrite $labels (default dict .) }}{{ end }}
{{- toYaml $labels }}
{{- end }}

{{- define "coredns.labels" -}}
{{ include "coredns.labelled" (list . "coredns.selector" .Values.customLabels) }}
{{- end }}

{{- define "coredns.labels.autoscaler" -}}
{{ include "coredns.labelled" (list . "coredns.selector.autoscaler" (include "coredns.customLabels.autoscaler" . | fromYaml)) }}
{{- end }}

{{/* Only a false of one's own keeps the release's labels away from the autoscaler. */}}
{{- define "coredns.customLabels.autoscaler" -}}
{{- $inherited := ternary dict (default dict .Values.customLabels) (eq (toString .Values.autoscaler.inheritCustomLabels) "false") }}
{{- mergeOverwrite dict $inherited (default dict .Values.autoscaler.customLabels) | toYaml }}
{{- end }}

{{/* Annotations from several values, of which later ones count; nothing when all are empty. */}}
{{- define "coredns.annotations" -}}
{{- $all := dict }}
{{- range . }}{{ $all = mergeOverwrite $all (default dict .) }}{{ end }}
{{- with $all }}
annotations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* A probe without the word that says whether there is one. */}}
{{- define "coredns.probe" -}}
{{- $probe := omit .probe "enabled" }}
{{- if not (or $probe.httpGet $probe.tcpSocket $probe.exec $probe.grpc) }}
{{- $_ := set $probe "httpGet" (dict "path" .path "port" .port "scheme" "HTTP") }}
{{- end }}
{{- toYaml $probe }}
{{- end }}

{{/* {all: […]}: each port of the servers by name, as in a Service, in the order of its text, UDP first. */}}
{{- define "coredns.ports" -}}
{{- $ports := dict }}
{{- range .Values.servers }}
{{- $number := int (default 53 .port) }}
{{- $new := dict "number" $number "service" (int (default $number .servicePort)) }}
{{- $port := get $ports (toString $number) | default $new }}
{{- range .zones }}
{{- $scheme := default "dns://" .scheme }}
{{- if has $scheme (list "tls://" "grpc://" "https://") }}{{ $_ := set $port "tcp" true }}
{{- else }}{{ $_ := set $port "udp" true }}{{ if .use_tcp }}{{ $_ := set $port "tcp" true }}{{ end }}
{{- end }}
{{- end }}
{{- if not .zones }}{{ $_ := set $port "udp" true }}{{ $_ := set $port "tcp" true }}{{ end }}
{{- with .nodePort }}{{ $_ := set $port "nodePort" (int .) }}{{ end }}
{{- with .hostPort }}{{ $_ := set $port "hostPort" (int .) }}{{ end }}
{{- $_ := set $ports (toString $number) $port }}
{{- range .plugins }}
{{- if eq .name "prometheus" }}
{{- with toString (default ":9153" .parameters) | trim | splitList ":" | last | int }}
{{- $_ := set $ports (toString .) (dict "number" . "metrics" true "tcp" true) }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
{{- $all := list }}
{{- range $text, $port := $ports }}
{{- range $protocol := list "udp" "tcp" }}
{{- if get $port $protocol }}
{{- $all = append $all (merge (dict "name" (printf "%s-%s" $protocol $text) "protocol" (upper $protocol)) $port) }}
{{- end }}
{{- end }}
{{- end }}
{{- dict "all" $all | toJson }}
{{- end }}

{{/* A word of the Corefile: numbers come as floats, and none may turn into 1e+06. */}}
{{- define "coredns.word" -}}
{{- if kindIs "float64" . }}{{ if eq (floor .) . }}{{ int64 . }}{{ else }}{{ . }}{{ end }}{{ else }}{{ . }}{{ end }}
{{- end }}

{{- define "coredns.corefile" -}}
{{- range $name, $more := .Values.extraConfig }}
{{- $parameters := $more }}
{{- if kindIs "map" $more }}{{ $parameters = $more.parameters }}{{ end }}
{{ $name }}{{ with $parameters }} {{ include "coredns.word" . }}{{ end }}
{{- end }}
{{- range .Values.servers }}
{{- $port := "" }}
{{- with .port }}{{ $port = printf ":%d" (int .) }}{{ end }}
{{- $keys := list }}
{{- range .zones }}{{ $keys = append $keys (printf "%s%s%s" (default "" .scheme) (default "." .zone) $port) }}{{ end }}
{{ default (list (printf ".%s" $port)) $keys | join " " }} {
{{- range .plugins }}
    {{ .name }}{{ if not (kindIs "invalid" .parameters) }} {{ include "coredns.word" .parameters }}{{ end }}
{{- with .configBlock }} {
{{ . | trimSuffix "\n" | indent 8 }}
    }
{{- end }}
{{- end }}
}
{{- end }}
{{- end }}
