{{- define "synod.labels" -}}
app.kubernetes.io/name: synod
app.kubernetes.io/part-of: synod
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end }}

{{- define "synod.selector" -}}
app.kubernetes.io/name: synod
app.kubernetes.io/component: operator
{{- end }}

{{- define "synod.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end }}

{{- define "synod.controller" -}}
{{ ternary "https" "http" .Values.controller.tls.enabled }}://synod-controller.{{ .Release.Namespace }}:5679
{{- end }}

{{- define "synod.testContainer" -}}
{{- $ := first . -}}
image: {{ include "synod.image" $ }}
imagePullPolicy: {{ $.Values.image.pullPolicy }}
env:
- name: SYNOD_CONTROLLER
  value: {{ include "synod.controller" $ }}
- name: SYNOD_NAMESPACE
  value: {{ last . }}
- name: SYNOD_GROUP
  value: {{ $.Values.test.group | quote }}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities:
    drop: [ALL]
{{- end }}
